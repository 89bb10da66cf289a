// Socket.IO on Node.js, as its documentation says for production: WebSocket only, the native add-ons of
// ws, the first HTTP request of each session discarded. Relays events as they are; nothing is checked,
// stored or registered.
//   node server.mjs PORT [redis|redis-streams REDIS_PORT]
import { createServer } from "node:http";
import { Server } from "socket.io";

const [port, adapter, redisPort] = process.argv.slice(2);

async function connect() {
  const { createClient } = await import("redis");
  const client = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  await client.connect();
  return client;
}

async function options() {
  if (adapter === "redis") {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return { adapter: createAdapter(await connect(), await connect()) };
  }
  if (adapter === "redis-streams") {
    const { createAdapter } = await import("@socket.io/redis-streams-adapter");
    return { adapter: createAdapter(await connect()) };
  }
  return {};
}

const server = createServer();
const io = new Server(server, { transports: ["websocket"], serveClient: false, ...(await options()) });
io.engine.on("connection", (socket) => {
  socket.request = null;
});

const BROADCAST = "core.game.state.broadcast";
const SEND_MESSAGE = "core.game.state.send_message";
const BUY_GOOD = "core.game.state.buy_good";

io.on("connection", (socket) => {
  const { user } = socket.handshake.auth;
  socket.join(user);
  socket.on(BROADCAST, (event, acknowledge) => {
    io.emit(BROADCAST, event);
    acknowledge({ status: "ok" });
  });
  socket.on(SEND_MESSAGE, (event, acknowledge) => {
    io.to(event.target_user_id).to(user).emit(SEND_MESSAGE, event);
    acknowledge({ status: "ok" });
  });
  socket.on(BUY_GOOD, (event, acknowledge) => {
    io.to(user).emit(BUY_GOOD, event);
    acknowledge({ status: "ok" });
  });
});

server.listen(Number(port), "127.0.0.1");
