"""Decides how a provider of models is asked; without one, says so as a clean answer.

Input:  {"now", "tenant", "law", "provider": {"name", ...} or null, "configured": [names],
         "payload": {...}}
Output: {"do": "none", "output": null, "error": {"code", "said"}}
        | {"do": "call", "provider": name, "payload"}

A node without any provider is whole: whoever asks gets `provider.none` and goes on.
Source: Bluebook 3.5.
"""

FUNCTION = {
    "id": "00000000-0000-4000-8000-000000000005",
    "name": "provider_exec",
    "alias": "provider_exec_kernel",
    "kernel": True,
    "output_schema": {
        "type": "object",
        "required": ["do"],
        "properties": {"do": {"enum": ["none", "call"]}},
    },
}

NONE = {"pt": "não há nenhum fornecedor configurado", "en": "no provider configured"}
UNKNOWN = {
    "pt": "este fornecedor não está configurado neste nó",
    "en": "this provider is not configured on this node",
}


def main(input):
    configured = input.get("configured", [])
    provider = input.get("provider")
    name = None if provider is None else provider.get("name")
    if not configured:
        return nothing("provider.none", NONE)
    if name is None:
        name = configured[0]
    if name not in configured:
        return nothing("provider.unknown", UNKNOWN)
    return {"do": "call", "provider": name, "payload": input.get("payload")}


def nothing(code, said):
    return {"do": "none", "output": None, "error": {"code": code, "said": said}}
