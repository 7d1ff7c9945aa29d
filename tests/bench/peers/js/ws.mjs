// The package ws with one channel: "S" subscribes (answer "ok"), "P<body>" is sent to every subscriber.
import { WebSocket, WebSocketServer } from "ws";

const subscribers = new Set();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
server.on("connection", (socket) => {
  socket.on("close", () => subscribers.delete(socket));
  socket.on("message", (data) => {
    const text = data.toString();
    if (text === "S") {
      subscribers.add(socket);
      socket.send("ok");
    } else {
      const body = text.slice(1);
      for (const one of subscribers) if (one.readyState === WebSocket.OPEN) one.send(body);
    }
  });
});
