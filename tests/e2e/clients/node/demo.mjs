// A short scene between two stock Socket.IO clients on a running node: `just run`, then `just demo`.
//
//   node demo.mjs [URL]      default: $URL or http://127.0.0.1:8080
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client-v4";

const url = (process.argv[2] ?? process.env.URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const PRIVATE = "/core/game/v1/real-time/private";
const ANSWER_MS = 10_000;
const SCENE_MS = 30_000;

const say = (line = "") => console.log(line);
function die(message) {
  console.error(`demo: ${message}`);
  process.exit(1);
}

function tokenOf(user) {
  const binary = process.env.GAME_REALTIME_E2E_BINARY;
  const [program, before] = binary ? [binary, []] : ["cargo", ["run", "-q", "-p", "game-realtime", "--"]];
  const options = ["--config", "config/dev.toml", "token", "--user", user];
  return execFileSync(program, [...before, ...options], { cwd: root, encoding: "utf8" }).trim();
}

function tell(name, event, { message, text, target_user_id: target, good_id: good, count, sender }) {
  const from = sender?.user_id ?? "a guest";
  const told = {
    "core.game.state.broadcast": () => `${from} to everybody: "${message}"`,
    "core.game.state.send_message": () => `${from} to ${target}: "${text}"`,
    "core.game.state.buy_good": () => `${from} bought ${count} x ${good}`,
  }[event];
  if (told) say(`  ${name.padEnd(5)} sees   ${told()}`);
}

// Joins, and counts what arrives: the scene waits for everybody to have seen everything.
class Player {
  constructor(name, token, target, options) {
    this.name = name;
    this.seen = 0;
    this.waiting = () => {};
    this.socket = io(target, { ...options, auth: { token }, forceNew: true });
    this.socket.on("connect_error", (error) => die(`${name} was refused: ${error.message}`));
    this.socket.onAny((event, payload) => {
      tell(name, event, payload);
      if (payload.id) this.seen += 1;
      this.waiting();
    });
  }

  async ready() {
    const ready = await new Promise((resolve) => this.socket.once("core.game.connection.ready", resolve));
    say(`  ${this.name.padEnd(5)} joined ${ready.namespace} as ${ready.user_id} (connection ${ready.connection_id})`);
  }

  async send(event, payload) {
    const answer = await this.socket.timeout(ANSWER_MS).emitWithAck(event, payload);
    if (answer.status !== "ok") die(`${this.name}: ${event}: ${answer.error.code}, ${answer.error.message}`);
    const online = answer.recipient ? `, the recipient has ${answer.recipient.connections} open connection(s)` : "";
    say(`  ${this.name.padEnd(5)} sent   ${event}: committed at ${answer.event.cursor}${online}`);
  }

  async hasSeen(count) {
    while (this.seen < count) await new Promise((resolve) => (this.waiting = resolve));
  }
}

try {
  await fetch(url);
} catch {
  die(`no server at ${url}. Start one in another terminal: just run`);
}
// Before the time runs: it may have to be built first.
const [aliceToken, bobToken] = ["alice", "bob"].map(tokenOf);
setTimeout(() => die(`the scene did not end within ${SCENE_MS / 1000} s`), SCENE_MS).unref();

say(`Two players join ${url}, one by path, one by namespace.`);
const alice = new Player("alice", aliceToken, url, { path: PRIVATE });
const bob = new Player("bob", bobToken, url + PRIVATE, {});
await Promise.all([alice.ready(), bob.ready()]);

say("\nAlice greets everybody.");
await alice.send("core.game.state.broadcast", { message: "Hello from Alice" });
await Promise.all([alice.hasSeen(1), bob.hasSeen(1)]);

say("\nBob answers her alone; his own connections see it too.");
await bob.send("core.game.state.send_message", { target_user_id: "alice", text: "Hi Alice, shall we play?" });
await Promise.all([alice.hasSeen(2), bob.hasSeen(2)]);

say("\nAlice buys a sword; nobody else is told.");
await alice.send("core.game.state.buy_good", { good_id: "sword", count: 1 });
await alice.hasSeen(3);

alice.socket.close();
bob.socket.close();
say("\nThat was the scene.");
process.exit(0);
