"""The store beside a raw memory map: writing, reading, memory, and what bookkeeping costs."""
