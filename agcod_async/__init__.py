"""The safe way to turn money into Amazon gift cards from asyncio Python."""
