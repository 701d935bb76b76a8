-- Set a small key that matters also when Redis is full.
-- KEYS: 1 the key
-- ARGV: 1 its value  2 its seconds to live; 0: for ever
pass_when_full()
if tonumber(ARGV[2]) > 0 then
  return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return redis.call('SET', KEYS[1], ARGV[1])
