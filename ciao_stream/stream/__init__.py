"""Streaming mode: worlds that learn online from labelled frames held in Redis. Loads no Avalanche."""
