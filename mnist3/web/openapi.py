"""The description of the calls for programs, as OpenAPI 3.1 has it."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

NUMBER = {"type": "number", "minimum": 0, "maximum": 1}
BOX = {
    "type": "array",
    "items": {"type": "integer"},
    "minItems": 4,
    "maxItems": 4,
    "description": "left, top, right and bottom in the upright picture, px",
}
FIELDS: dict[str, Schema] = {
    "number": {
        "type": "string",
        "description": "with its leading zeros; empty where the network sees no digit",
    },
    "confidence": {
        "type": ["number", "null"],
        "description": "probability that every digit is right; null of a learner without any",
    },
    "confidences": {"type": "array", "items": NUMBER, "description": "of each digit"},
    "sure": {
        "type": ["boolean", "null"],
        "description": "whether to rely on it; null where the run does not know",
    },
    "length": {"type": "integer", "minimum": 0, "description": "how many digits"},
    "box": {
        **BOX,
        "type": ["array", "null"],
        "description": "of the line; null where pictures are read as a whole",
    },
    "spans": {
        "type": "array",
        "items": BOX,
        "description": "of each digit; empty where the network does not say where it stands",
    },
    "error": {
        "type": "string",
        "description": "why it cannot be read, or that nothing is found; empty where it is read",
    },
}
VIEW = {
    "type": ["string", "null"],
    "description": "what the network saw, a PNG as data URL; only with views=1",
}
MAPS: dict[str, Schema] = {
    "layer": {"type": "string", "description": "name of a convolution, from the image on"},
    "rows": {"type": "integer", "description": "of each map"},
    "columns": {"type": "integer"},
    "channels": {"type": "integer", "description": "how many maps there are"},
    "image": {
        "type": "string",
        "description": "the maps one below the other, the largest value white: a PNG as data URL",
    },
}
ERROR = {
    "description": "a sentence that says what was wrong and what to do",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"error": {"type": "string"}},
                "required": ["error"],
            }
        }
    },
}
BINARY = {"type": "string", "format": "binary"}
READING = {"$ref": "#/components/schemas/Reading"}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _form(**fields: Schema) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {"multipart/form-data": {"schema": schema}}


def document(version: str, saves: bool) -> dict[str, Any]:
    """Returns the description.

    Args:
        version: of this package.
        saves: whether drawings can be saved.
    """
    refused = {
        "403": ERROR | {"description": "the header Host or Origin names another site"},
        "408": ERROR | {"description": "the request took too long to arrive"},
        "413": ERROR | {"description": "a picture, or the request, is too large"},
        "500": ERROR | {"description": "the server has failed; its log says why"},
        "503": ERROR | {"description": "too much is waiting; the header Retry-After says how long"},
    }
    answers = [READING, {"$ref": "#/components/schemas/Lines"}]
    paths: dict[str, Any] = {
        "/read": {
            "post": {
                "summary": "Reads the number on a picture, or on each of several",
                "parameters": [
                    {
                        "name": "views",
                        "in": "query",
                        "schema": {"type": "integer", "enum": [0, 1]},
                        "description": "1 for what the network saw",
                    },
                    {
                        "name": "maps",
                        "in": "query",
                        "schema": {"type": "integer", "enum": [0, 1]},
                        "description": "1 for what each convolution made of it",
                    },
                    {
                        "name": "lines",
                        "in": "query",
                        "schema": {"type": "integer", "enum": [0, 1]},
                        "description": "1 for every line from the top, as an object with `lines`",
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        **_form(image={"type": "array", "items": BINARY}),
                        "image/*": {"schema": BINARY},
                    },
                },
                "responses": {
                    "200": {
                        "description": "of one picture an object, of several a list in their order",
                        "content": _json(
                            {"oneOf": [*answers, {"type": "array", "items": {"oneOf": answers}}]}
                        ),
                    },
                    "400": ERROR
                    | {"description": "the request holds no picture, or the run reads no lines"},
                    **refused,
                    "422": {
                        "description": "the only file is no picture; `error` says why",
                        "content": _json({"oneOf": answers}),
                    },
                },
            }
        },
        "/healthz": {
            "get": {
                "summary": "Says that the server is ready, and what it reads",
                "responses": {"200": {"description": "ready", "content": _json({})}},
            }
        },
    }
    if saves:
        paths["/drawings"] = {
            "post": {
                "summary": "Saves a picture with the right number for --mode=evaluate --images",
                "requestBody": {
                    "required": True,
                    "content": _form(image=BINARY, number={"type": "string"}),
                },
                "responses": {
                    "201": {
                        "description": "saved",
                        "content": _json(
                            {"type": "object", "properties": {"file": {"type": "string"}}}
                        ),
                    },
                    "400": ERROR,
                    **refused,
                    "422": ERROR,
                },
            }
        }
    maps = {
        "type": "array",
        "items": {"type": "object", "properties": MAPS, "required": list(MAPS)},
        "description": "after the ReLU; empty of what has no convolution; only with maps=1",
    }
    reading = {
        "type": "object",
        "properties": {**FIELDS, "view": VIEW, "maps": maps},
        "required": list(FIELDS),
    }
    lines = {
        "type": "object",
        "properties": {"lines": {"type": "array", "items": READING}},
        "required": ["lines"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mnist3: numbers read from pictures", "version": version},
        "paths": paths,
        "components": {"schemas": {"Reading": reading, "Lines": lines}},
    }
