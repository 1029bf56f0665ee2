"""A guest in Python that comes only by way of a TURN server: `relayed_guest.py ICE LINK`."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys

import aiohttp
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from avatar.call import parse_ice

WANTED = 60


async def main(ice: str, link: str) -> None:
    connection = RTCPeerConnection(parse_ice(ice, relay_only=True).configuration())
    done, count = asyncio.Event(), 0
    pulling: list[asyncio.Future[None]] = []

    @connection.on("track")
    def take(track: MediaStreamTrack) -> None:
        async def pull() -> None:
            nonlocal count
            while count < WANTED:
                await track.recv()
                count += 1
            done.set()

        if track.kind == "video":
            pulling.append(asyncio.ensure_future(pull()))

    connection.addTransceiver("video", "recvonly")
    await connection.setLocalDescription()
    offer = connection.localDescription.sdp
    kinds = {line.split(" typ ")[1].split()[0] for line in offer.splitlines() if "a=candidate" in line}
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
        async with http.post(link, data=offer, headers={"Content-Type": "application/sdp"}) as response:
            assert response.status == 201, await response.text()
            answer = await response.text()
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(done.wait(), 90)
    print(json.dumps({"pictures": count, "kinds": sorted(kinds)}), flush=True)
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
