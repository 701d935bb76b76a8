-- Write into parked tasks, and into the tasks of parked shards, that no living worker knows their type.
-- KEYS: 1 the stream
-- ARGV: 1 queue:type  2 index of the first entry  3 number of entries  4 seconds that a task must be parked  5 error, JSON
-- Returns the number of entries that were read.
pass_when_full()
local stream, list = KEYS[1], PARKED .. ':' .. ARGV[1]
local first, count = tonumber(ARGV[2]), tonumber(ARGV[3])
local before = read_clock() - tonumber(ARGV[4])
local ids = redis.call('LRANGE', list, first, first + count - 1)
for _, id in ipairs(ids) do
  local job = 'rq:job:' .. id
  local found = redis.call('HMGET', job, 'parked_at', 'parked_error', 's')
  if found[1] and tonumber(found[1]) <= before and not found[2] and found[3] then
    redis.call('HSET', job, 'parked_error', '1')
    write_error(stream, id, ARGV[5])
    local parent = string.find(found[3], '"parent":"', 1, true) and read_string(found[3], 'parent')
    if parent and redis.call('HSETNX', 'rq:job:' .. parent, 'parked_error', '1') == 1 then
      write_error(stream, parent, ARGV[5])
    end
  end
end
return #ids
