-- The service refused somebody: pause the fleet, and slow it down.
--
-- KEYS  1 pace: see reserve.lua
-- ARGV  1 the scope that was refused: account, or an operation   2 the part that a refusal leaves, in millionths
--       3 the least part of all                                  4 microseconds of the pause
--
-- Answers the scope's factor in millionths. Refusals of what left before the pause change nothing.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local scope = ARGV[1]
local factor = tonumber(redis.call('HGET', KEYS[1], 'factor:' .. scope) or 1000000)
if now < tonumber(redis.call('HGET', KEYS[1], 'paused') or 0) then
  return factor
end
factor = math.max(tonumber(ARGV[3]), factor * tonumber(ARGV[2]) / 1000000)
redis.call('HSET', KEYS[1],
  'factor:' .. scope, string.format('%.0f', factor),
  'changed:' .. scope, string.format('%.0f', now),
  'paused', string.format('%.0f', now + tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[1], 3600000)
return math.floor(factor)
