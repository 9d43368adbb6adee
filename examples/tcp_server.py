"""An asyncio server: clients send 16-bit PCM at 16 kHz and read the text back, a line a segment.

python examples/tcp_server.py 7000
ffmpeg -i talk.mp3 -f s16le -ac 1 -ar 16000 - | nc -N 127.0.0.1 7000
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, suppress

import asr


async def main() -> None:
    """Serves until Ctrl-C; port 0 lets the system choose one."""
    model = asr.load_model()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with aclosing(asr.stream(reader, model=model, sample_rate=16000)) as updates:
                async for update in updates:
                    for segment in update.final:
                        writer.write(f"{segment.text}\n".encode())
                        await writer.drain()
        except (ConnectionError, asr.AudioError) as error:
            print(f"a client has gone: {error}", file=sys.stderr)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(f"name a port:\n\n{__doc__}")
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
