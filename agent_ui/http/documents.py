"""OpenAPI and AsyncAPI documents, generated from the declared routes and messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from agent_ui.http.problems import ProblemBody
from agent_ui.http.routes import NoBody, Route
from agent_ui.messages import ClientMessage, ServerMessage

_REF = "#/components/schemas/{model}"
Document = dict[str, Any]


def openapi(routes: Iterable[Route], *, version: str) -> Document:
    """The OpenAPI 3.1 document of the documented routes."""
    shown = [route for route in routes if route.documented]
    models: dict[type[BaseModel], None] = {ProblemBody: None}
    for route in shown:
        models[route.params] = None
        if route.body is not NoBody:
            models[route.body] = None
        if route.answer is not None:
            models[route.answer] = None
    refs, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF
    )
    paths: Document = {}
    for route in shown:
        operation = _operation(route, {model: refs[model, "validation"] for model in models})
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Santral", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "santral_session"}
            },
        },
    }


def _operation(route: Route, refs: dict[type[BaseModel], Any]) -> Document:
    problem = {"application/problem+json": {"schema": refs[ProblemBody]}}
    answer: Document = {"description": route.status.phrase}
    if route.answer is not None:
        answer["content"] = {"application/json": {"schema": refs[route.answer]}}
    operation: Document = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "responses": {
            str(route.status.value): answer,
            "default": {"description": "A problem", "content": problem},
        },
    }
    schema = route.params.model_json_schema(ref_template=_REF)
    parameters = [
        {
            "name": name,
            "in": "path" if name in route.path_names else "query",
            "required": name in schema.get("required", ()),
            "schema": _inlined(field, schema.get("$defs", {})),
        }
        for name, field in schema.get("properties", {}).items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not NoBody:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[route.body]}},
        }
    if not route.public:
        operation["security"] = [{"session": sorted(role.value for role in route.roles)}]
    return operation


def _inlined(schema: Any, definitions: Document) -> Any:
    """The schema with references to small definitions (enums) replaced by what they refer to."""
    match schema:
        case {"$ref": str(ref)}:
            return _inlined(definitions[ref.rsplit("/", 1)[-1]], definitions)
        case dict():
            return {key: _inlined(value, definitions) for key, value in schema.items()}
        case list():
            return [_inlined(item, definitions) for item in schema]
        case _:
            return schema


def asyncapi(*, version: str) -> Document:
    """The AsyncAPI 3.0 document of the push protocol."""
    schemas: Document = {}
    sides: dict[str, list[str]] = {}
    messages: tuple[tuple[str, Any], ...] = (("server", ServerMessage), ("browser", ClientMessage))
    for side, message in messages:
        adapter: TypeAdapter[Any] = TypeAdapter(message)
        schema = adapter.json_schema(
            mode="serialization" if side == "server" else "validation", ref_template=_REF
        )
        schemas.update(schema.pop("$defs"))
        mapping: dict[str, str] = schema["discriminator"]["mapping"]
        sides[side] = sorted(ref.rsplit("/", 1)[-1] for ref in mapping.values())
    names = [name for side in sides.values() for name in side]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Santral push", "version": version},
        "channels": {
            "push": {
                "address": "/api/v1/push",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            f"from_{side}": {
                "action": "send" if side == "server" else "receive",
                "channel": {"$ref": "#/channels/push"},
                "messages": [{"$ref": f"#/channels/push/messages/{name}"} for name in of_side],
            }
            for side, of_side in sides.items()
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "contentType": "application/json",
                    "payload": {"$ref": f"#/components/schemas/{name}"},
                }
                for name in names
            },
            "schemas": schemas,
        },
    }


def as_json(document: Document) -> bytes:
    """The document as it is served."""
    return json.dumps(document, ensure_ascii=False).encode()
