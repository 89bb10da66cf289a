"""A receiver of OTLP over gRPC, of the official Python packages, that tells what it gets.

Usage: collector.py [CODE]. Prints the port it listens on; then for every request one JSON object a
line: `raw`, the bytes of the message as Latin-1, and `spans`, each with its resource. With the name
of a gRPC code it refuses every request with it. Ends with its standard input.
"""

import json
import pathlib
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2

METHOD = ("opentelemetry.proto.collector.trace.v1.TraceService", "Export")


def attributes(pairs):
    values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
    assert len(values) == len(pairs), "an attribute comes twice"
    return values


def spans(request):
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": attributes(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "flags": span.flags,
                    "name": span.name,
                    "kind": trace_pb2.Span.SpanKind.Name(span.kind),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "links": [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    "failure": span.status.message if span.status.code else None,
                }


def export(raw, context):
    request = service.ExportTraceServiceRequest.FromString(raw)
    print(json.dumps({"raw": raw.decode("latin-1"), "spans": list(spans(request))}), flush=True)
    if len(sys.argv) == 2:
        context.abort(grpc.StatusCode[sys.argv[1]], "refused")
    return service.ExportTraceServiceResponse()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    name, method = METHOD
    handler = grpc.unary_unary_rpc_method_handler(
        export, response_serializer=service.ExportTraceServiceResponse.SerializeToString
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {method: handler})])
    if len(sys.argv) == 3:
        certificate, key = (pathlib.Path(path).read_bytes() for path in sys.argv[1:])
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


main()
