"""The socket: Phoenix Channels v2 over WebSocket, and over long poll where a network blocks WebSockets."""
