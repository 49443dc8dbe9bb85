"""Drives the real OpenTelemetry SDK and its instrumentation of the OpenAI client against a local stand-in for a model.

Run as a program: ``python otel_client.py SPANS``. Writes OTLP-JSON lines, spans in the order in which they end.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


class Model(BaseHTTPRequestHandler):
    """Answers every chat request; refuses those to the model ``busy``."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {
            "id": f"chatcmpl-{len(asked['messages'][-1]['content'])}",
            "object": "chat.completion",
            "created": 1795499548,
            "model": "sonata-large-2026-10",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "391"}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        }
        body = json.dumps(answer).encode()
        self.send_response(429 if asked["model"] == "busy" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def main(path: str) -> None:
    server = HTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(path)))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    edge = provider.get_tracer("edge")
    with openai.OpenAI(api_key="x", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0) as client:
        for number in range(6):
            model = "busy" if number == 5 else "sonata-large"
            known = {
                "client.address": f"203.0.113.{number}",
                "user_agent.original": "openai-python/2.9.0",
                "user.id": f"acct_{number:04d}",
                "url.path": "/v1/chat/completions",
                "http.response.status_code": 429 if model == "busy" else 200,
            }
            with edge.start_as_current_span("POST", kind=trace.SpanKind.SERVER, attributes=known):
                asked = [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Solve: " + "1" * number},
                ]
                try:
                    client.chat.completions.create(model=model, messages=asked, temperature=0.5)
                except openai.RateLimitError:
                    continue
    provider.shutdown()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main(sys.argv[1])
