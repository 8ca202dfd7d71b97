Push.platform = platformOf(wx);
module.exports = Push.default = Push.Push = Push;
