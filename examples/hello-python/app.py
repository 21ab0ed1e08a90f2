"""Says hello, and which sandbox says it."""

import platform


def handler(event, context):
    name = event.get("name", "world") if isinstance(event, dict) else "world"
    print(f"greeting {name}")
    return {
        "message": f"Hello, {name}!",
        "python": platform.python_version(),
        "memory_mb": int(context.memory_limit_in_mb),
        "log_stream": context.log_stream_name,
    }
