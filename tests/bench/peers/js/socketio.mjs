// Socket.IO with rooms: "sub" enters one, "pub" sends to all in it. Answers are events called "ok".
import { Server } from "socket.io";

const server = new Server(Number(process.argv[2]), { transports: ["websocket"], maxHttpBufferSize: 1 << 20 });
server.on("connection", (socket) => {
  socket.on("hi", () => socket.emit("ok"));
  socket.on("sub", (room) => {
    socket.join(room);
    socket.emit("ok");
  });
  socket.on("pub", (room, message) => server.to(room).emit("message", message));
});
