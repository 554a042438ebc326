from .machine import drop_nonsense, provide_places

__version__ = "0.2.0"

drop_nonsense()
provide_places()
