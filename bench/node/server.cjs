// ws on Node, as its own examples are: the echo, with compression given --deflate, or from one to all given --push.
"use strict";

const { WebSocketServer } = require("ws");

const has = (word) => process.argv.includes(word);
// As the others: level 1, no context takeover.
const deflate = { zlibDeflateOptions: { level: 1 }, serverNoContextTakeover: true, clientNoContextTakeover: true };
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 1024,
  perMessageDeflate: has("--deflate") ? deflate : false,
});

server.on("listening", () => console.log(`listening ${server.address().port}`));
server.on("connection", (socket) => {
  // How a connection ends is the load generator's business.
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => {
    if (has("--push")) {
      for (const client of server.clients) client.send(data, { binary: isBinary });
    } else {
      socket.send(data, { binary: isBinary });
    }
  });
});
