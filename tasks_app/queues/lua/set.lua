-- Set a small key that must be written even when Redis is full.
-- KEYS: 1 the key
-- ARGV: 1 its value  2 its time to live in seconds; 0: unlimited
pass_when_full()
if tonumber(ARGV[2]) > 0 then
  return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return redis.call('SET', KEYS[1], ARGV[1])
