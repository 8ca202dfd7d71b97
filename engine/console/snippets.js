// What clients and back ends are told, ready to be pasted. A secret is never in it: back ends read theirs from a variable.

const quoted = (text) => JSON.stringify(String(text)).replace(/</g, "\\u003c");
/** A text in a language whose single quotes take everything literally but these. */
const single = (text) => `'${String(text).replace(/[\\']/g, "\\$&")}'`;

/** Pairs of a client's name and its lines, for a server at `host` and `port`. */
export function snippets({ host, port, tls, app, key, channel }) {
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const scheme = tls ? "https" : "http";
  const ws = tls ? "wss" : "ws";
  const options = `wsHost: ${quoted(name)}, ${ws}Port: ${port}, forceTLS: ${tls},\n  enabledTransports: ["${ws}"], cluster: "self"`;
  return [
    ["pusher-js", `const pusher = new Pusher(${quoted(key)}, {
  ${options}
});
pusher.subscribe(${quoted(channel)}).bind("hello", (data) => console.log(data));`],
    ["Laravel Echo", `window.Pusher = Pusher;
window.Echo = new Echo({
  broadcaster: "pusher", key: ${quoted(key)},
  ${options}
});
Echo.channel(${quoted(channel)}).listen(".hello", (data) => console.log(data));`],
    ["push.js", `<script src="${scheme}://${name}:${port}/plugin/workbunny/webman-push-server/push.js"></script>
<script>
  const push = new Push({ url: "${ws}://${name}:${port}", app_key: ${quoted(key)} });
  push.subscribe(${quoted(channel)}).on("hello", (data) => console.log(data));
</script>`],
    ["PHP", `$pusher = new Pusher\\Pusher(${single(key)}, getenv('PUSHER_APP_SECRET'), ${single(app)}, [
    'host' => ${single(name)}, 'port' => ${port}, 'scheme' => '${scheme}', 'useTLS' => ${tls},
]);
$pusher->trigger(${single(channel)}, 'hello', ['text' => 'hi']);`],
    ["Node", `const Pusher = require("pusher");
const pusher = new Pusher({
  appId: ${quoted(app)}, key: ${quoted(key)}, secret: process.env.PUSHER_APP_SECRET,
  host: ${quoted(name)}, port: "${port}", useTLS: ${tls},
});
pusher.trigger(${quoted(channel)}, "hello", { text: "hi" });`],
    ["Python", `import os, pusher
client = pusher.Pusher(
    app_id=${quoted(app)}, key=${quoted(key)}, secret=os.environ["PUSHER_APP_SECRET"],
    host=${quoted(name)}, port=${port}, ssl=${tls ? "True" : "False"},
)
client.trigger(${quoted(channel)}, "hello", {"text": "hi"})`],
  ];
}
