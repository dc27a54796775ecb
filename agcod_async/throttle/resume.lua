-- A process comes back to the store: agree with the others on the moment from which its slots count.
--
-- KEYS  1 resume: that moment, while processes are still coming back
--       2 pace: see reserve.lua
-- ARGV  1 microseconds that the others have to notice
--
-- Answers the microseconds until that moment, which may be past.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local agreed = tonumber(redis.call('GET', KEYS[1]) or 0)
if agreed == 0 then
  agreed = now + tonumber(ARGV[1])
  redis.call('SET', KEYS[1], string.format('%.0f', agreed), 'PX', string.format('%.0f', ARGV[1] / 1000 + 1000))
  local paused = tonumber(redis.call('HGET', KEYS[2], 'paused') or 0)
  redis.call('HSET', KEYS[2], 'paused', string.format('%.0f', math.max(paused, agreed)))
  redis.call('PEXPIRE', KEYS[2], 3600000)
end
return math.floor(agreed - now)
