"""The routes: `/predict`, what the server says of itself, and the page."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import fancnn
from fancnn.serve.hosts import LOCAL, client_of, host_of, is_local
from fancnn.serve.inspector import decided_part
from fancnn.serve.multipart_forms import FORM, LONGEST_NAME
from fancnn.serve.page_files import add_page
from fancnn.serve.request_parsing import BYTES, DrainBody, body_of, content_type_of, files_of
from fancnn.serve.request_validation import Refused
from fancnn.serve.schemas import Answer, Health, ModelFacts, Refusal
from fancnn.serve.service import Service

_REASONS = {
    400: "A damaged form, a body that was cut off, or two content types",
    408: "The body came too slowly",
    413: "Too many bytes, pixels or files",
    415: "Another content type, or another kind of image, than is taken",
    422: "A damaged image, or a form without files or with other fields",
    500: "The network's output was not a finite number: nothing more is decided until the server is restarted",
    503: "Busy, too slow, the golden images were not decided right, or the file is damaged",
}
PART_OF = "Name of the part that the images show, all that there are of it: the worst of them decides"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@dataclass(frozen=True)
class Routes:
    """What each address answers.

    Args:
        service: Decides.
        most_bytes: Of a request's body.
        most_files: Images in a request.
        discreet: Whether `/ready`, which asks for no token, keeps names and scores of golden images to itself.
    """

    service: Service
    most_bytes: int
    most_files: int
    discreet: bool = False

    async def predict(
        self,
        request: Request,
        heatmap: Annotated[bool, Query(description="Look where each image speaks for NG; slower")] = False,
        part: Annotated[str | None, Query(description=PART_OF, min_length=1, max_length=LONGEST_NAME)] = None,
    ) -> JSONResponse:
        """Decide on one image or several: all of them, or none with the reason."""
        started, status = time.monotonic(), 500
        service, metrics = self.service, self.service.metrics
        try:
            content_type = content_type_of(request, self.most_bytes)
            client = client_of(request.client.host if request.client else "")
            async with service.place(client, heatmap) as place:
                async with place.reading(service.seconds):
                    body = await body_of(request, self.most_bytes)
                files = partial(files_of, body, content_type, self.most_files)
                images = await service.inspect(place, files, heatmap, started)
            status = 200
            answer: Answer = {
                "images": images,
                "part": None if part is None else decided_part(part, images, service.inspector.model.part_images),
                "thresholds": list(service.inspector.model.facts.thresholds),
                "model": metrics.model,
                "model_sha256": metrics.sha256,
                "milliseconds": round(1000 * (time.monotonic() - started), 3),
            }
            return JSONResponse(answer)
        except Refused as refusal:
            status = refusal.status
            raise
        finally:
            metrics.add_request(status, time.monotonic() - started)

    async def health(self) -> Health:
        """Return whether the server works at all; restart it where it does not answer."""
        return {"status": "ok", "reason": ""}

    async def ready(self) -> JSONResponse:
        """Return whether it may decide: its outputs were finite, and the golden images, if any, decided right."""
        fault, broken = self.service.fault, self.service.broken
        hidden = fault and not broken and self.discreet  # names and scores of golden images
        reason = "the golden images were not decided right, or not yet" if hidden else fault
        body: Health = {"status": "not ready" if fault else "ready", "reason": reason}
        return JSONResponse(body, 503 if fault else 200)

    async def metrics(self) -> PlainTextResponse:
        """Return the counts for Prometheus."""
        text = self.service.metrics.as_text(not self.service.fault, len(self.service.places))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def model(self) -> ModelFacts:
        """Return the file that decides, its thresholds, and what a request may have."""
        inspector, model = self.service.inspector, self.service.inspector.model
        facts = model.facts
        return {
            "file": model.path.name,
            "sha256": model.sha256,
            "classes": facts.classes,
            "go_class": facts.go_class,
            "types": facts.types,
            "thresholds": list(facts.thresholds),
            "thresholds_in_words": model.thresholds.in_words(),
            "decision_rule": facts.decision,
            "calibration_ng_rate": facts.calibration_ng_rate,
            "line_ng_rate": facts.line_ng_rate,
            "image_size": facts.preprocess["image_size"],
            "has_cells": facts.has_cells,
            "cell_threshold": facts.cell_threshold,
            "mm_per_pixel": facts.mm_per_pixel,
            "part": facts.part,
            "part_images": facts.part_images,
            "weights_sha256": facts.weights_sha256,
            "checkpoint_sha256": facts.checkpoint_sha256,
            "versions": facts.versions,
            "limits": {
                "megabytes": self.most_bytes / 1e6,
                "megapixels": inspector.model.gate.limits.megapixels,
                "max_side": inspector.model.gate.limits.max_side,
                "request_megapixels": inspector.most_of_request / 1e6,
                "files": self.most_files,
                "formats": list(inspector.formats),
                "seconds": self.service.seconds,
            },
        }


def server_app(routes: Routes, token: str | None = None, only_local: bool = False) -> FastAPI:
    """Return the application, for any ASGI server.

    Args:
        routes: With the service behind them.
        token: What clients must send as `Authorization: Bearer ...` to decide, and to read facts and counts; None asks
            for nothing.
        only_local: Answer only those who call this computer by a name of its own. A page from elsewhere, open in a
            browser here, could otherwise have its own name mean this server, and read its answers (DNS rebinding).
    """
    app = FastAPI(
        title="fancnn",
        summary="GO, RECHECK or NG: decisions on images of parts",
        version=fancnn.__version__,
        lifespan=_lifespan(routes.service),
        docs_url=None,  # FastAPI's pages load scripts from another origin
        redoc_url=None,
        dependencies=[Depends(_called_locally)] if only_local else [],
        responses={421: {"model": Refusal, "description": "Called by a name from elsewhere"}} if only_local else {},
    )
    guarded: dict[str, Any] = {"dependencies": [Depends(_Token(token))] if token else []}
    refusals: dict[int | str, Any] = {401: {"model": Refusal, "description": "No token, or another"}} if token else {}
    known: dict[int | str, Any] = {code: {"model": Refusal, "description": why} for code, why in _REASONS.items()}
    app.add_api_route(
        "/predict",
        routes.predict,
        methods=["POST"],
        responses={200: {"model": Answer}, **known, **refusals},
        openapi_extra={"requestBody": _body(routes.most_files)},
        **guarded,
    )
    app.add_api_route("/model", routes.model, responses=refusals, **guarded)
    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    app.add_api_route(
        "/metrics", routes.metrics, response_class=PlainTextResponse, responses={**text, **refusals}, **guarded
    )
    app.add_api_route("/health", routes.health)
    app.add_api_route("/ready", routes.ready, responses={200: {"model": Health}, 503: {"model": Health}})
    add_page(app)
    _add_refusals(app)
    app.add_middleware(_HeadAsGet)
    app.add_middleware(DrainBody)
    return app


class _HeadAsGet:
    """Answers HEAD as GET: the server leaves the body out itself. Monitors and load balancers ask so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)


class _Token:
    """Lets pass who knows the token; in a time that says nothing of how much of it was right."""

    def __init__(self, token: str) -> None:
        self.token = token.encode()

    async def __call__(
        self, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
    ) -> None:
        if sent is None or not hmac.compare_digest(sent.credentials.encode(), self.token):
            reason = "expected the header `Authorization: Bearer ...` with this server's token"
            raise HTTPException(401, reason, {"WWW-Authenticate": "Bearer"})


async def _called_locally(request: Request) -> None:
    called = request.headers.getlist("host")  # every browser says one
    if not all(is_local(host_of(name)) for name in called):
        raise HTTPException(
            421, f"called as {', '.join(called)[:80]!r}: without a token, it answers only to {', '.join(LOCAL)}"
        )


def _lifespan(service: Service) -> Any:
    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        service.close()

    return run


def _body(most_files: int) -> dict[str, Any]:
    """Return the body of `/predict` for the OpenAPI document."""
    files = {"type": "array", "items": _BINARY["schema"], "minItems": 1, "maxItems": most_files}
    form = {"schema": {"type": "object", "required": ["files"], "properties": {"files": files}}}
    return {"required": True, "content": {FORM: form, **dict.fromkeys((BYTES, "image/jpeg", "image/png"), _BINARY)}}


def _add_refusals(app: FastAPI) -> None:
    """Answer every error in JSON with a reason, and never with a traceback."""

    def error_response(status: int, reason: str, headers: Any = None) -> JSONResponse:
        again = {"Retry-After": "1"} if status == 503 else {}
        return JSONResponse({"reason": reason}, status, {**again, **(headers or {})})

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return error_response(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(
            422, "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        )

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return error_response(500, "a fault inside the server, not in the request; its log says more")
