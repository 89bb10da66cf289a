"""python-socketio on uvicorn, uvloop and httptools. Relays events as they are; nothing is checked or stored.

server.py PORT
"""

import sys

import socketio
import uvicorn

BROADCAST = "core.game.state.broadcast"
SEND_MESSAGE = "core.game.state.send_message"
BUY_GOOD = "core.game.state.buy_good"

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])


@sio.event
async def connect(sid, _environ, auth):
    await sio.save_session(sid, auth)
    await sio.enter_room(sid, auth["user"])


@sio.on(BROADCAST)
async def broadcast(_sid, event):
    await sio.emit(BROADCAST, event)
    return {"status": "ok"}


@sio.on(SEND_MESSAGE)
async def send_message(sid, event):
    user = (await sio.get_session(sid))["user"]
    await sio.emit(SEND_MESSAGE, event, room=[event["target_user_id"], user])
    return {"status": "ok"}


@sio.on(BUY_GOOD)
async def buy_good(sid, event):
    await sio.emit(BUY_GOOD, event, room=(await sio.get_session(sid))["user"])
    return {"status": "ok"}


uvicorn.run(
    socketio.ASGIApp(sio),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    ws="websockets",
    ws_per_message_deflate=False,
    log_level="warning",
    backlog=4096,
)
