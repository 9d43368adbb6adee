"""An asyncio server: clients send a line with the sample rate, then 16-bit PCM, and read events.

python examples/tcp_server.py 7000
(echo 48000; ffmpeg -i talk.mp3 -f s16le -ac 1 -ar 48000 -) | nc -N 127.0.0.1 7000
"""

import asyncio
import json
import sys
from contextlib import aclosing, suppress

import asr
from asr.output import StreamEvents


async def main() -> None:
    """Serves until Ctrl-C; port 0 lets the system choose one."""
    model = asr.load_model()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        events = StreamEvents()  # those of `asr stream --json`: partial and final text
        try:
            rate = int(await reader.readline())
            async with aclosing(asr.stream(reader, model=model, sample_rate=rate)) as updates:
                async for update in updates:
                    writer.writelines(line.encode() for line in events.lines(update))
                    await writer.drain()
        except ConnectionError as error:
            print(f"a client has gone: {error}", file=sys.stderr)
        except (ValueError, asr.AsrError) as error:  # ValueError: the first line is no number
            writer.write(json.dumps({"type": "error", "message": str(error)}).encode() + b"\n")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
