import asyncpg


async def test_a_real_postgres_answers(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SHOW fsync") == "on"
    finally:
        await connection.close()
