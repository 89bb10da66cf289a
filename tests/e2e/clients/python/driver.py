"""Drives python-socketio clients for the end-to-end tests.

Speaks the protocol that ../node/driver.mjs documents: JSON lines in and out, one process, many
clients. `version` is ignored, there is one.
"""

import asyncio
import base64
import json
import socket
import sys
import time

import socketio

READY = "core.game.connection.ready"
DEFAULT_TIMEOUT_MS = 10_000


def send(line):
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def to_wire(value):
    if isinstance(value, (bytes, bytearray)):
        return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    if isinstance(value, dict):
        return {key: to_wire(item) for key, item in value.items()}
    return value


def from_wire(value):
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    if isinstance(value, dict):
        if isinstance(value.get("$binary"), str):
            return base64.b64decode(value["$binary"])
        if isinstance(value.get("$utf16"), list):
            return "".join(map(chr, value["$utf16"]))
        return {key: from_wire(item) for key, item in value.items()}
    return value


def message_of(refusal):
    if isinstance(refusal, dict) and "message" in refusal:
        return str(refusal["message"])
    return str(refusal)


class Client:
    def __init__(self, command):
        self.name = command["client"]
        self.command = command
        self.cursor = command.get("cursor")
        self.ready = asyncio.get_running_loop().create_future()
        self.refusal = None
        base = command.get("base", "/core/game/v1/real-time")
        target = f"{base}/{command.get('namespace', 'private')}"
        self.by_path = command.get("form") == "path"
        self.path = target if self.by_path else "socket.io"
        self.namespace = "/" if self.by_path else target
        self.socket = socketio.AsyncClient(
            reconnection=command.get("reconnection", False),
            handle_sigint=False,
            **command.get("options", {}),
        )
        self.listen()

    def listen(self):
        def received(name, *args):
            if args and isinstance(args[0], dict) and isinstance(args[0].get("cursor"), str):
                self.cursor = args[0]["cursor"]
            at = time.time_ns() // 1_000_000
            send({"event": {"client": self.name, "name": name, "args": to_wire(args), "at": at}})
            if name == READY and not self.ready.done():
                self.ready.set_result(args[0])

        def connected():
            self.lifecycle("connect", transport=self.socket.eio.transport())

        def disconnected(reason=None):
            self.lifecycle("disconnect", reason=reason)
            if not self.ready.done():
                self.ready.set_exception(RuntimeError(f"disconnected: {reason}"))

        def refused(refusal=None):
            self.refusal = message_of(refusal)
            self.lifecycle("connect_error", reason=self.refusal)

        # Plain functions: the library calls them in order, coroutines it would not have to.
        self.socket.on("*", received, namespace=self.namespace)
        self.socket.on("connect", connected, namespace=self.namespace)
        self.socket.on("disconnect", disconnected, namespace=self.namespace)
        self.socket.on("connect_error", refused, namespace=self.namespace)

    def lifecycle(self, name, **more):
        send({"client": self.name, "lifecycle": name, **more})

    def auth(self):
        auth = {}
        if "token" in self.command:
            auth["token"] = self.command["token"]
        cursor = self.cursor if self.command.get("resume") else self.command.get("cursor")
        if cursor is not None:
            auth["cursor"] = cursor
        auth.update(self.command.get("auth", {}))
        return auth

    async def connect(self):
        timeout = self.command.get("timeoutMs", DEFAULT_TIMEOUT_MS) / 1000
        query = "&".join(f"{key}={value}" for key, value in self.command.get("query", {}).items())
        url = self.command["url"] + (f"/?{query}" if query else "")
        try:
            await self.socket.connect(
                url,
                headers=self.command.get("headers", {}),
                auth=self.auth,
                transports=self.command.get("transports"),
                namespaces=[self.namespace],
                socketio_path=self.path,
                wait_timeout=timeout,
            )
            ready = await asyncio.wait_for(self.ready, timeout)
        except asyncio.TimeoutError:
            await self.socket.disconnect()
            raise RuntimeError("timeout") from None
        except Exception as error:
            raise RuntimeError(self.refusal or str(error)) from None
        finally:
            if self.ready.done():
                self.ready.exception()  # seen, whoever else reports it
        return {"ready": to_wire(ready), "transport": self.socket.eio.transport()}

    async def emit(self, command):
        # A tuple is several arguments, anything else is one.
        values = tuple(from_wire(value) for value in command.get("args", []))
        if not command.get("ack", True):
            await self.socket.emit(command["event"], values, namespace=self.namespace)
            return {}
        answered = asyncio.get_running_loop().create_future()

        def answer(*args):
            if not answered.done():
                answered.set_result(to_wire(args))

        await self.socket.emit(
            command["event"], values, namespace=self.namespace, callback=answer
        )
        timeout = command.get("timeoutMs", DEFAULT_TIMEOUT_MS) / 1000
        try:
            return {"ack": await asyncio.wait_for(answered, timeout)}
        except asyncio.TimeoutError:
            raise RuntimeError("timeout") from None

    async def close_transport(self):
        """The library has no word for this: a real client loses its network."""
        engine = self.socket.eio
        if engine.transport() == "websocket":
            engine.ws.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        else:
            await engine.http.close()

    async def wait_upgrade(self, command):
        # python-engineio upgrades before connect() returns.
        transport = self.socket.eio.transport()
        if transport != "websocket":
            raise RuntimeError("timeout")
        return {"transport": transport}

    def state(self):
        return {
            "connected": self.namespace in self.socket.namespaces,
            "transport": self.socket.eio.transport() if self.socket.eio.sid else None,
            "cursor": self.cursor,
        }


clients = {}


def client_of(command):
    client = clients.get(command["client"])
    if client is None:
        raise RuntimeError(f"no client {command['client']}")
    return client


async def operate(command):
    operation = command["op"]
    if operation == "connect":
        if command["client"] in clients:
            raise RuntimeError(f"client {command['client']} exists")
        client = clients[command["client"]] = Client(command)
        try:
            return await client.connect()
        except RuntimeError:
            del clients[command["client"]]
            raise
    if operation == "emit":
        return await client_of(command).emit(command)
    if operation == "disconnect":
        await client_of(command).socket.disconnect()
        del clients[command["client"]]
        return {}
    if operation == "close_transport":
        await client_of(command).close_transport()
        return {}
    if operation == "wait_upgrade":
        return await client_of(command).wait_upgrade(command)
    if operation == "state":
        return client_of(command).state()
    raise RuntimeError(f"no operation {operation}")


async def run(command):
    try:
        send({"id": command["id"], "ok": True, **await operate(command)})
    except Exception as error:  # every command gets its reply
        send({"id": command["id"], "ok": False, "error": str(error) or repr(error)})


async def main():
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = set()
    while line := await lines.readline():
        command = json.loads(line)
        if command["op"] == "quit":
            for client in clients.values():
                await client.socket.disconnect()
            send({"id": command["id"], "ok": True})
            return
        task = asyncio.create_task(run(command))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main())
