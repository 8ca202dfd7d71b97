// What can be seen of a page, each function sent into the browser as it stands: it may use nothing from outside itself.

/** The visible plots: what they say of themselves, the points of each line, the number of bars. */
export function plots() {
  const visible = [...document.querySelectorAll("svg[role=img]")].filter((svg) => svg.getClientRects().length > 0);
  const points = (path) => path.getAttribute("d").split(/[ML]/).length - 1;
  return visible.map((svg) => ({
    label: svg.getAttribute("aria-label"),
    lines: [...svg.querySelectorAll("path.line")].map(points),
    bars: svg.querySelectorAll("rect.bar").length,
  }));
}

/** For each piece of visible text its contrast with what is behind it, by WCAG 2. */
export function contrasts() {
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
      if (alpha !== 0) throw new Error(`a ground that is half there: ${at.outerHTML.slice(0, 80)}`);
    }
    throw new Error("the page has no ground");
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const ink = luminance(parse(element instanceof SVGElement ? style.fill : style.color));
    const ground = groundOf(element);
    const [low, high] = [ink, luminance(ground)].sort((a, b) => a - b);
    found.push({ text, ratio: (high + 0.05) / (low + 0.05), ground: ground.join() });
  }
  return found;
}

/** By how many pixels the page is wider than its window. */
export function pushedOut() {
  return Math.max(0, document.documentElement.scrollWidth - window.innerWidth);
}

/** Cells of tables that are not wholly inside the box around their table, by their text. */
export function hiddenCells() {
  const cells = [...document.querySelectorAll(".scroll th, .scroll td")].filter((cell) => cell.getClientRects().length > 0);
  const outside = cells.filter((cell) => {
    const [box, frame] = [cell.getBoundingClientRect(), cell.closest(".scroll").getBoundingClientRect()];
    return box.left < frame.left - 1 || box.right > frame.right + 1;
  });
  return { cells: cells.length, outside: outside.map((cell) => cell.textContent) };
}

/** Texts of a drawing that reach beyond the box around it. */
export function cutOff() {
  const found = [];
  for (const text of document.querySelectorAll("figure svg text")) {
    const box = text.getBoundingClientRect();
    const frame = text.closest("figure").getBoundingClientRect();
    const inside = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
    if (box.width > 0 && !inside) found.push(text.textContent);
  }
  return found;
}

/** Pairs of texts of one drawing that cover each other. */
export function overlapping() {
  const found = [];
  for (const svg of document.querySelectorAll("figure svg[role=img]")) {
    const texts = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
    const seen = texts.filter(({ box }) => box.width > 0);
    seen.forEach(({ text, box }, index) => {
      for (const other of seen.slice(index + 1)) {
        const apart = box.right <= other.box.left || other.box.right <= box.left || box.bottom <= other.box.top + 2 || other.box.bottom <= box.top + 2;
        if (!apart) found.push(`${text} and ${other.text}`);
      }
    });
  }
  return found;
}
