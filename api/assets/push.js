// push.js: a client for Corecast, webman-push-server, webman/push, and any server of the Pusher protocol.
//
//   const connection = new Push({ url: "wss://example.com", app_key: "KEY", auth: "/subscribe/auth" });
//   const channel = connection.subscribe("presence-room");
//   channel.on("message", (data) => console.log(data)).trigger("client-typing", { by: "ann" });
//   connection.on("disconnected", ({ code, retry_in }) => console.log(code, retry_in));
//
// Each `new Push` is a connection of its own. One that is lost comes back with its channels, as its close code says.
var Push = (function () {
  const DEFAULTS = {
    auth: null, // where private and presence channels are authorized
    auth_headers: {}, // what is sent there besides
    channel_data: null, // { user_id, user_info } for presence channels, if the page names its user
    heartbeat: 25000, // between two pings; this and what follows are milliseconds
    pingTimeout: 10000, // how long the server may take to answer
    retryMin: 1000, retryMax: 30000, // the pauses before a lost connection is tried again: each is twice the last
  };
  const QUEUED_MAX = 100; // client events of a channel that wait until it is subscribed; the oldest go first

  class Emitter {
    on(event, handler) { // "*" stands for every event
      this.handlers = (this.handlers || []).concat({ event, handler });
      return this;
    }
    off(event, handler) { // without a handler all of the event, without an event all
      const stays = (one) => (event && one.event !== event) || (handler && one.handler !== handler);
      this.handlers = (this.handlers || []).filter(stays);
      return this;
    }

    emit(event, data, more) {
      const hearing = (this.handlers || []).filter((one) => one.event === event || one.event === "*");
      for (const { handler } of hearing) { // what one of them throws does not keep it from the others
        try { handler.call(this, data, more); } catch (error) { setTimeout(() => { throw error; }, 0); }
      }
      return hearing.length;
    }
  }

  class Channel extends Emitter {
    constructor(push, name, channel_data) {
      super();
      Object.assign(this, { push, name, channel_data, requested: false, subscribed: false, queue: [] });
      if (!/^presence-/.test(name)) return;
      this.members = new Map(); // { id, info } by id
      this.members.each = (tell) => this.members.forEach((member) => tell(member));
      Object.defineProperty(this.members, "count", { get: () => this.members.size });
    }

    trigger(event, data) { // to the other subscribers, as soon as the channel is subscribed
      if (!/^client-/.test(event)) throw new Error(`The name of a client event begins with "client-": ${event}`);
      if (this.subscribed) this.push.send(event, data, this.name);
      else if (this.queue.push([event, data]) > QUEUED_MAX) this.queue.shift();
      return this;
    }

    request() {
      if (!this.members && !/^private-/.test(this.name)) return this.requestWith({});
      const { options: { auth, auth_headers, retryMax }, socket_id } = this.push;
      if (!auth) return this.refuse("the option `auth` must name where it is authorized", 0);
      const form = { channel_name: this.name, socket_id };
      const mine = this.members && this.channel_data;
      if (mine) form.channel_data = typeof mine === "string" ? mine : JSON.stringify(mine);
      const body = Object.keys(form).map((key) => `${key}=${encodeURIComponent(form[key])}`).join("&");
      Push.platform.post(auth, body, auth_headers, (status, answer) => {
        if (this.push.socket_id !== socket_id || this.push.channels.get(this.name) !== this) return;
        const signed = parse(answer) || {};
        if (status === 200 && signed.auth) return this.requestWith(signed, form.channel_data);
        this.refuse(`${auth} does not authorize it`, status);
        if (status === 0 || status >= 500) this.again = setTimeout(() => this.request(), retryMax); // it may be repaired
      });
    }

    requestWith({ auth, channel_data }, mine) {
      if (this.members) channel_data = channel_data || mine;
      else if (typeof channel_data !== "string") channel_data = undefined; // then it is not part of what was signed
      if (this.members) this.members.myID = String((parse(channel_data) || {}).user_id);
      this.requested = true;
      this.push.send("pusher:subscribe", { channel: this.name, auth, channel_data });
    }
    refuse(why, status) {
      this.emit("pusher:subscription_error", { type: "AuthError", error: why, status });
      this.push.fail({ code: null, message: `${this.name}: ${why}`, channel: this.name, status });
    }

    receive(event, data, frame) {
      const own = /^pusher_internal:(.*)/.exec(event);
      if (event === "pusher:subscription_error") this.reset();
      if (!own) this.emit(event, data, frame);
      else if (own[1] === "subscription_succeeded") this.succeed(data || {});
      else if (!/^member_/.test(own[1])) this.emit(`pusher:${own[1]}`, data, frame);
      else if (this.members) this.change(own[1], String(data.user_id), data.user_info);
    }
    change(what, id, info) { // of the members: member_added or member_removed
      const member = this.members.get(id) || { id, info };
      if (what === "member_added") this.members.set(id, member);
      else this.members.delete(id);
      this.emit(`pusher:${what}`, member);
    }
    succeed({ presence }) {
      this.subscribed = true;
      if (this.members) {
        this.members.clear();
        const hash = (presence && presence.hash) || {};
        Object.keys(hash).forEach((id) => this.members.set(id, { id, info: hash[id] }));
        this.members.me = this.members.get(this.members.myID);
      }
      this.queue.splice(0).forEach(([event, data]) => this.push.send(event, data, this.name));
      this.emit("pusher:subscription_succeeded", this.members || {});
    }
    reset() { // nothing is subscribed any more
      clearTimeout(this.again); this.requested = this.subscribed = false;
    }
  }

  class Push extends Emitter {
    constructor(options) {
      super();
      this.options = Object.assign({}, DEFAULTS, options);
      if (!this.options.url || !this.options.app_key) throw new Error("Push needs the options `url` and `app_key`");
      Object.assign(this, { state: "initialized", socket_id: null, channels: new Map(), failures: 0 });
      this.connection = this; // pages of webman/push look at `connection.connection.state`
      this.connect();
    }

    connect() { // a new Push does so by itself; after `disconnect`, or a close code that says stop, it begins anew
      if (this.attempt) return;
      const attempt = this.attempt = {}; // what a socket of an earlier one still says is not heard
      const ifCurrent = (act) => (...said) => { if (this.attempt === attempt) act.apply(this, said); };
      const url = `${this.options.url.replace(/^http/, "ws").replace(/\/+$/, "")}/app/${this.options.app_key}`;
      this.unwake = this.unwake || Push.platform.onWake(() => this.wake());
      this.socket = Push.platform.connect(url, ifCurrent(this.receive), ifCurrent(this.lose));
      this.expectAnswer();
      this.enter("connecting");
    }
    disconnect() {
      if (this.unwake) this.unwake();
      this.unwake = null;
      if (this.leave()) this.emit("disconnected", { code: 1000, reason: "", retry_in: null });
    }

    subscribe(name, options) {
      const known = this.channels.get(name);
      const channel = known || new Channel(this, name, (options && options.channel_data) || this.options.channel_data);
      this.channels.set(name, channel);
      if (!known && this.state === "connected") channel.request();
      return channel;
    }
    unsubscribe(name) {
      const channel = this.channels.get(name);
      if (!channel || !this.channels.delete(name)) return;
      if (channel.requested) this.send("pusher:unsubscribe", { channel: name });
      channel.reset();
    }
    unsubscribeAll() { this.channels.forEach((_, name) => this.unsubscribe(name)); }
    send(event, data, channel) {
      if (this.state === "connected") this.socket.send(JSON.stringify({ event, data, channel }));
    }

    receive(text) {
      if (this.state === "connected") clearTimeout(this.deadline);
      const frame = parse(text) || {};
      const [event, data] = [String(frame.event), parse(frame.data)];
      const channel = this.channels.get(frame.channel);
      if (event === "pusher:connection_established") this.establish(data);
      else if (event === "pusher:error") this.fail(data || {});
      else if (event === "pusher:ping") this.send("pusher:pong", {});
      else if (channel && channel.requested) channel.receive(event, data, frame); // or else it was left and is asked for anew
    }

    establish({ socket_id, activity_timeout }) {
      clearTimeout(this.deadline);
      Object.assign(this, { socket_id, failures: 0 });
      const pause = Math.min(this.options.heartbeat, activity_timeout * 1000 || Infinity);
      if (pause > 0) this.beat = setInterval(() => this.ping(), pause);
      this.enter("connected");
      this.channels.forEach((channel) => channel.request());
      this.emit("connected", { socket_id });
    }
    ping() { this.send("pusher:ping", {}); this.expectAnswer(); }
    expectAnswer() {
      clearTimeout(this.deadline);
      this.deadline = setTimeout(() => this.lose(4201, "The server does not answer"), this.options.pingTimeout);
    }

    fail(error) { // there are servers that refuse a connection in this way, and leave it open
      if (!this.emit("error", error)) console.warn("push.js:", error.message || error);
      if (this.state === "connecting" && error.code >= 4000 && error.code < 4300) this.lose(error.code, error.message);
    }

    lose(code, reason) { // 40xx say stay away, 42xx come back at once, 41xx and all others come back later
      const atOnce = code >= 4200 && code < 4300 && this.failures === 0;
      const pause = Math.min(this.options.retryMin * Math.pow(2, this.failures), this.options.retryMax / 2);
      const retry_in = code >= 4000 && code < 4100 ? null : atOnce ? 0 : Math.round(pause * (1 + Math.random()));
      Object.assign(this, { failures: this.failures + 1, isPatient: code >= 4100 && code < 4200 });
      this.leave();
      if (retry_in !== null) this.retry = setTimeout(() => this.connect(), retry_in);
      this.emit("disconnected", { code, reason, retry_in });
    }

    wake() { // the page is shown again, or the network is back: timers may have slept, and the connection may be dead
      if (this.state === "connected") this.ping();
      else if (this.retry && !this.isPatient) this.connect();
    }

    leave() {
      const { attempt, socket } = this;
      clearTimeout(this.retry); clearTimeout(this.deadline); clearInterval(this.beat);
      this.attempt = this.socket = this.socket_id = this.retry = null;
      this.channels.forEach((channel) => channel.reset());
      if (socket) socket.close();
      this.enter("disconnected");
      return Boolean(attempt);
    }
    enter(current) {
      const previous = this.state;
      this.state = current;
      if (previous !== current) this.emit("state_change", { previous, current });
    }
  }

  function parse(value) { // data comes as it is, or as the text of its JSON
    try { return typeof value === "string" ? JSON.parse(value) : value; } catch (error) { return value; }
  }
  return Push;
})();

// ---- The browser ------------------------------------------------------------------------------------------------------
Push.platform = {
  connect(url, onText, onClose) {
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => onText(data);
    socket.onclose = ({ code, reason }) => onClose(code, reason);
    return socket;
  },
  post(url, body, headers, done) {
    const read = (answer) => answer.text().then((text) => [answer.status, text]);
    headers = Object.assign({ "Content-Type": "application/x-www-form-urlencoded" }, headers);
    fetch(url, { method: "POST", headers, body }).then(read).catch(() => [0, ""]).then((told) => done(...told));
  },
  onWake(wake) {
    if (typeof document === "undefined") return () => {};
    const shown = () => { if (!document.hidden) wake(); };
    document.addEventListener("visibilitychange", shown);
    addEventListener("online", wake);
    return () => [document.removeEventListener("visibilitychange", shown), removeEventListener("online", wake)];
  },
};
if (typeof module === "object" && module.exports) module.exports = Push.default = Push.Push = Push;
else if (typeof globalThis === "object") globalThis.Push = Push; // for a script, `var` has made it global
