// The texts in English.

export default {
  // views
  overview: "Overview", apps: "Apps", channels: "Channels", channel: "Channel", slow: "Slow connections", connection: "Connection",
  problems: "Problems", hooks: "Hooks", nodes: "Nodes", settings: "Settings", try: "Try it",
  views: "Views", menu: "Menu", skip: "Skip to the content",
  // signing in
  sign_in: "Sign in", sign_in_title: "Corecast console", sign_out: "Sign out", signed_out: "You are signed out.",
  session_ended: "Your session has ended. Sign in again.", token: "Token", token_hint: "The admin_token of this server's settings.",
  token_refused: "The server refused this token.", too_many_tries: "Too many failed attempts. Wait a minute, then try again.",
  scheme: "Colours", scheme_auto: "Auto", scheme_light: "Light", scheme_dark: "Dark",
  // the stream
  stream_off: "Off", stream_connecting: "Connecting…", stream_live: "Live", stream_lost: "Connection lost, retrying…",
  no_answer: "The server does not answer.", refused_status: "The server answered with status {0}.",
  // numbers
  connections: "Connections", deliveries_s: "Deliveries/s", publishes_s: "Publishes/s", latency: "Publish→kernel", traffic: "Traffic",
  memory: "Memory", limit: "limit", waiting: "Waiting to be written", busiest: "Busiest core", gates: "Gates closed",
  in: "in", out: "out", cores: "Cores", core: "Core", busy: "Busy", busy_of: "Busy share of {0}, last 10 minutes", gated: "Gated",
  last_minutes: "Last 10 minutes", at_time: "At {0}", plots_label: "Plots of the last 10 minutes; arrow keys move through time",
  plot_says: "{0}: {1}; highest in 10 minutes {2}",
  // lists
  none: "Nothing here.", more: "Show more", rows_more: "{0} more are not shown.", filter: "Filter", actions: "Actions", time: "Time",
  state: "State", on: "on", off: "disabled",
  app: "App", prefix: "Name begins with", subscriptions: "Subscriptions", users: "Users", user: "User", members: "Members", info: "Info",
  no_channels: "No occupied channel has a name like this.", no_members: "No members.", no_subscriptions: "No subscriptions.",
  cached: "Cached event", tail: "Live tail", tail_none: "No event yet. Events appear here as they are published.",
  tail_count: "{0} shown", tail_left_out: "{0} shown, {1} left out to spare the channel", pause: "Pause", resume: "Resume", clear: "Clear",
  slow_none: "No connection has anything waiting.", waits_for: "For", address: "Address", agent: "Client", age: "Age", socket_id: "Socket id",
  bytes_in: "Received", bytes_out: "Sent", trace: "Messages", trace_none: "Record the connection's messages for 60 seconds.",
  trace_start: "Record 60 s", tracing: "Recording…", from_client: "from client", to_client: "to client",
  problems_none: "Nothing has been refused lately.", what: "What", times: "Times", reason: "Reason", remedy: "What to do",
  hooks_none: "No app has an endpoint for hooks.", endpoint: "Endpoint", endpoints: "Endpoints", backlog: "Waiting", backlog_age: "Oldest",
  dead_letters: "Dead letters", letters_of: "Dead letters of {0}", letters_none: "No dead letters.", tries: "Tries",
  nodes_none: "This server is not part of a cluster.", node: "Joined by", since: "Since", unacknowledged: "Unacknowledged", gaps: "Gaps",
  lease_left: "Lease left", roundtrip: "Round trip p50 / p99", inbox_lag: "Inbox lag",
  setting: "Setting", value: "Value", origin: "Origin", default: "Default", only_changed: "Only what differs from the default",
  settings_none: "No setting matches.",
  // try it
  event: "Event", data: "Data", data_hint: "Text or JSON, sent as it is.", snippets: "Client code",
  snippets_hint: "Back ends read the app's secret from PUSHER_APP_SECRET. Behind a proxy, use its host and port.",
  copy: "Copy", copied: "Copied", selected: "Selected", copy_what: "Copy the lines for {0}",
  // actions
  cancel: "Cancel", close: "Close", done: "Done.", working: "Working…", look: "Look",
  publish: "Publish an event", publish_question: "All subscribers of the channel will receive this event.", published: "The event was published.",
  disconnect: "Disconnect", disconnect_question: "The server closes this connection. Its client may reconnect.", disconnected: "The connection was closed.",
  terminate: "Terminate", terminate_question: "The server closes all connections of this user.", terminated: "Its connections are being closed.",
  replay: "Replay", replay_question: "All dead letters of this endpoint will be delivered again.", replayed: "{0} dead letters will be delivered again.",
  enable: "Enable", enable_question: "The server sends events to this endpoint again.", enabled: "The endpoint is enabled.",
};
