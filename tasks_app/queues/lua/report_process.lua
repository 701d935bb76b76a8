-- A process's entry, timed by Redis; written where its field still holds what the writer has seen. Refused when Redis is full.
-- KEYS: 1 the hash of processes
-- ARGV: 1 the field  2 the entry  3 what the field holds now: '*' anything, '' nothing, else that text  4 the hash's seconds to live
-- Returns 1, or 0 where the field holds something else.
if ARGV[3] ~= '*' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[3] then return 0 end
local seconds = read_clock()
redis.call('HSET', KEYS[1], ARGV[1], seconds .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
