-- A worker's heartbeat, timed by Redis.
-- KEYS: 1 the worker's hash
-- ARGV: 1 its time to live in seconds  2 number of queues that it serves, then their names, then fields and values
-- Returns the time: seconds, microseconds.
pass_when_full()
local worker, queues = KEYS[1], tonumber(ARGV[2])
local seconds, micros = read_clock()
redis.call('SADD', 'rq:workers', worker)
for i = 3, 2 + queues do redis.call('SADD', 'rq:workers:' .. ARGV[i], worker) end
redis.call('HSET', worker, unpack(ARGV, 3 + queues))
redis.call('HSET', worker, 'last_heartbeat', format_time(seconds, micros))
redis.call('EXPIRE', worker, ARGV[1])
return {seconds, micros}
