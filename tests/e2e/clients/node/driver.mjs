// Drives stock Socket.IO clients of three generations for the end-to-end tests.
//
// One process, many clients. JSON lines in: commands, each with an `id`. JSON lines out: one reply
// per command (`{id, ok, ...}` or `{id, ok: false, error}`) and, unasked, what clients see:
//   {"event": {"client", "name", "args", "at"}}         an event from the server, in order of arrival
//   {"client", "lifecycle", "reason"?, "transport"?}    disconnect, reconnect, upgrade, ...
//
// connect          client, version (2, 3, 4), url, form ("path", "namespace"), namespace, base?,
//                  transports?, token?, cursor?, auth?, headers?, query?, reconnection?, resume?,
//                  insist?, options?, localAddress?, timeoutMs?
//                  answers when core.game.connection.ready is here, or with the refusal's message
// emit             client, event, args, ack, timeoutMs?   answers with {ack: [...]}, if asked for
// disconnect       client                                 says goodbye and forgets the client
// close_transport  client                                 cuts the connection without a goodbye
// wait_upgrade     client, timeoutMs?                     answers when the transport is WebSocket
// state            client
// quit
//
// With `resume`, a reconnecting client comes back with the last cursor it saw. With `insist`, one that
// is refused for a while when it comes back tries again, which the libraries leave to the game. In
// `args`, {"$binary": "<base64>"} stands for a Buffer, both ways, and {"$utf16": [55357]} for a text of
// these code units.
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(import.meta.url);
const clientLibraries = { 2: "socket.io-client-v2", 3: "socket.io-client-v3", 4: "socket.io-client-v4" };

const READY = "core.game.connection.ready";
// Clients 2.x have no catch-all listener.
const SERVER_EVENTS = [
  READY,
  "core.game.state.broadcast",
  "core.game.state.send_message",
  "core.game.state.buy_good",
  "error",
];
const DEFAULT_TIMEOUT_MS = 10_000;
const RETRYABLE = new Set(["rate_limited", "too_many_connections", "unavailable", "internal"]);
const INSIST_DELAY_MS = 200;

const send = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function toWire(value) {
  if (Buffer.isBuffer(value)) return { $binary: value.toString("base64") };
  if (Array.isArray(value)) return value.map(toWire);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toWire(item)]));
  }
  return value === undefined ? null : value;
}

function fromWire(value) {
  if (Array.isArray(value)) return value.map(fromWire);
  if (value && typeof value === "object") {
    if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
    if (Array.isArray(value.$utf16)) return String.fromCharCode(...value.$utf16);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromWire(item)]));
  }
  return value;
}

// A refusal is an Error in 3.x and 4.x; in 2.x it is whatever the packet carried.
function messageOf(error) {
  if (typeof error === "string") return error;
  return error?.message ?? JSON.stringify(error);
}

class Client {
  constructor(command) {
    this.name = command.client;
    this.version = command.version ?? 4;
    this.cursor = command.cursor;
    // As the libraries' own, but it can be told to cut its connections.
    const { Agent } = command.url.startsWith("https:") ? https : http;
    this.agent = new Agent({ localAddress: command.localAddress });
    this.socket = this.#open(command);
    this.#listen(command);
  }

  #open(command) {
    const base = command.base ?? "/core/game/v1/real-time";
    const target = `${base}/${command.namespace ?? "private"}`;
    const options = {
      forceNew: true,
      multiplex: false,
      agent: this.agent,
      reconnection: command.reconnection ?? false,
      ...(command.transports && { transports: command.transports }),
      ...(command.query && { query: { ...command.query } }),
      ...(command.form === "path" && { path: target }),
    };
    const headers = { ...command.headers };
    if (this.version === 2) {
      if (command.token !== undefined) headers.Authorization = `Bearer ${command.token}`;
      if (command.cursor !== undefined) options.query = { ...options.query, cursor: command.cursor };
    } else {
      options.auth = (answer) => answer(this.#auth(command));
    }
    if (Object.keys(headers).length > 0) options.extraHeaders = headers;
    const library = require(clientLibraries[this.version]);
    const io = library.io ?? library;
    return io(command.form === "path" ? command.url : command.url + target, { ...options, ...command.options });
  }

  #auth(command) {
    const cursor = command.resume ? this.cursor : command.cursor;
    return {
      ...(command.token !== undefined && { token: command.token }),
      ...(cursor !== undefined && { cursor }),
      ...command.auth,
    };
  }

  #listen(command) {
    const socket = this.socket;
    const lifecycle = (name, more) => send({ client: this.name, lifecycle: name, ...more });
    const received = (name, args) => {
      const cursor = args[0]?.cursor;
      if (typeof cursor === "string") this.cursor = cursor;
      send({ event: { client: this.name, name, args: toWire(args), at: Date.now() } });
    };
    if (this.version === 2) {
      for (const name of SERVER_EVENTS) {
        // A refusal comes as "error" too, and as text.
        socket.on(name, (...args) => {
          if (name !== "error" || typeof args[0] === "object") received(name, args);
        });
      }
    } else {
      socket.onAny((name, ...args) => received(name, args));
    }
    socket.on("connect", () => {
      const engine = socket.io.engine;
      lifecycle("connect", { transport: engine.transport.name });
      engine.once("upgrade", () => lifecycle("upgrade", { transport: engine.transport.name }));
    });
    socket.on("disconnect", (reason) => lifecycle("disconnect", { reason }));
    socket.on("connect_error", (error) => {
      lifecycle("connect_error", { reason: messageOf(error) });
      if (command.insist && !socket.active && RETRYABLE.has(messageOf(error))) this.#insist();
    });
    if (this.version === 2 && command.insist) {
      // A refusal of 2.x; it does not try again by itself as long as the transport is open.
      socket.on("error", (error) => RETRYABLE.has(messageOf(error)) && this.#insist());
    }
    // 2.x repeats the manager's events on the socket, so both would report twice.
    socket.io.on("reconnect_attempt", () => {
      if (this.version === 2 && command.resume && this.cursor !== undefined) {
        socket.io.opts.query = { ...socket.io.opts.query, cursor: this.cursor };
        socket.query = socket.io.opts.query;
      }
      lifecycle("reconnect_attempt");
    });
    socket.io.on("reconnect", () => lifecycle("reconnect"));
  }

  #insist() {
    setTimeout(() => {
      if (clients.get(this.name) === this) this.socket.connect();
    }, INSIST_DELAY_MS);
  }

  ready(timeoutMs) {
    const socket = this.socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(reject, new Error("timeout")), timeoutMs);
      const onReady = (ready) => settle(resolve, { ready, transport: socket.io.engine.transport.name });
      const onError = (error) => settle(reject, new Error(messageOf(error)));
      const onDisconnect = (reason) => settle(reject, new Error(`disconnected: ${reason}`));
      const refusals = this.version === 2 ? ["connect_error", "error"] : ["connect_error"];
      function settle(how, value) {
        clearTimeout(timer);
        socket.off(READY, onReady);
        socket.off("disconnect", onDisconnect);
        for (const name of refusals) socket.off(name, onError);
        how(value);
      }
      socket.on(READY, onReady);
      socket.on("disconnect", onDisconnect);
      for (const name of refusals) socket.on(name, onError);
    });
  }

  emit({ event, args = [], ack = true, timeoutMs = DEFAULT_TIMEOUT_MS }) {
    const values = args.map(fromWire);
    if (!ack) {
      this.socket.emit(event, ...values);
      return {};
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("timeout")), timeoutMs);
      this.socket.emit(event, ...values, (...answers) => {
        clearTimeout(timer);
        resolve({ ack: toWire(answers) });
      });
    });
  }

  // Neither library has a word for this: a real client loses its network.
  closeTransport() {
    const engine = this.socket.io.engine;
    const transport = engine.transport;
    if (transport.name === "websocket") {
      transport.ws.terminate();
      return;
    }
    transport.readyState = "closed"; // keeps it from posting a close packet
    this.agent.destroy();
    (engine._onClose ?? engine.onClose).call(engine, "transport close");
  }

  waitUpgrade(timeoutMs) {
    const engine = this.socket.io.engine;
    const answer = () => ({ transport: engine.transport.name });
    if (engine.transport.name === "websocket") return answer();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("timeout")), timeoutMs);
      engine.once("upgrade", () => {
        clearTimeout(timer);
        resolve(answer());
      });
    });
  }

  state() {
    return {
      connected: this.socket.connected,
      transport: this.socket.io.engine?.transport?.name ?? null,
      cursor: this.cursor ?? null,
    };
  }
}

const clients = new Map();

function clientOf(command) {
  const client = clients.get(command.client);
  if (!client) throw new Error(`no client ${command.client}`);
  return client;
}

const operations = {
  async connect(command) {
    if (clients.has(command.client)) throw new Error(`client ${command.client} exists`);
    const client = new Client(command);
    clients.set(client.name, client);
    try {
      return await client.ready(command.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    } catch (error) {
      clients.delete(client.name);
      client.socket.close();
      throw error;
    }
  },
  emit: (command) => clientOf(command).emit(command),
  disconnect(command) {
    clientOf(command).socket.close();
    clients.delete(command.client);
  },
  close_transport: (command) => clientOf(command).closeTransport(),
  wait_upgrade: (command) => clientOf(command).waitUpgrade(command.timeoutMs ?? DEFAULT_TIMEOUT_MS),
  state: (command) => clientOf(command).state(),
  quit() {
    for (const client of clients.values()) client.socket.close();
    // Lets the goodbyes and this reply out first.
    setTimeout(() => process.exit(0), 50);
  },
};

async function run(line) {
  const command = JSON.parse(line);
  try {
    const operation = operations[command.op];
    if (!operation) throw new Error(`no operation ${command.op}`);
    send({ id: command.id, ok: true, ...(await operation(command)) });
  } catch (error) {
    send({ id: command.id, ok: false, error: messageOf(error) });
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", run);
lines.on("close", () => process.exit(0)); // the test is gone
