-- Write a process's entry, timed by Redis, if its field still has the value that the writer has read. Refused when Redis is
-- full.
-- KEYS: 1 the hash of processes
-- ARGV: 1 the field  2 the entry  3 the expected value: '*' any, '' none  4 the hash's time to live in seconds
-- Returns 1, or 0 if the field has another value.
if ARGV[3] ~= '*' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[3] then return 0 end
local seconds = read_clock()
redis.call('HSET', KEYS[1], ARGV[1], seconds .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
