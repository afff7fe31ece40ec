// Preloaded into NNI's manager: it listens on this machine alone, and not on all interfaces, since it asks for no password.
const { Server } = require("net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
  if (typeof args[0] === "number" || typeof args[0] === "string" && /^\d+$/.test(args[0])) {
    const rest = args.slice(1).filter((arg) => typeof arg === "function");
    return listen.call(this, { port: Number(args[0]), host: "127.0.0.1" }, ...rest);
  }
  if (args[0] !== null && typeof args[0] === "object" && args[0].port !== undefined) {
    return listen.call(this, { ...args[0], host: "127.0.0.1" }, ...args.slice(1));
  }
  return listen.apply(this, args);
};
