// ---- uni-app and mini programs ----------------------------------------------------------------------------------------
// Both have the same sockets, requests and signs of waking, under a name of their own.
function platformOf(host) {
  return {
    connect(url, onText, onClose) {
      // Without a callback uni-app returns no socket.
      const task = host.connectSocket({ url, fail: ({ errMsg }) => setTimeout(() => onClose(1006, errMsg), 0) });
      task.onMessage(({ data }) => onText(data));
      task.onClose(({ code, reason }) => onClose(code || 1006, reason));
      task.onError(({ errMsg }) => onClose(1006, errMsg));
      return { send: (data) => task.send({ data }), close: () => task.close({}) };
    },
    post(url, data, headers, done) {
      const header = Object.assign({ "Content-Type": "application/x-www-form-urlencoded" }, headers);
      const success = ({ statusCode, data: answer }) => done(statusCode, answer);
      host.request({ url, method: "POST", header, data, success, fail: () => done(0, "") });
    },
    onWake(wake) {
      const back = ({ isConnected }) => { if (isConnected) wake(); };
      const shown = () => wake();
      host.onNetworkStatusChange(back);
      if (host.onAppShow) host.onAppShow(shown);
      return () => {
        if (host.offNetworkStatusChange) host.offNetworkStatusChange(back);
        if (host.offAppShow) host.offAppShow(shown);
      };
    },
  };
}
