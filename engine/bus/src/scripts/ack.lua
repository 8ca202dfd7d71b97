-- The node has taken what its inbox had. ARGV from 7: epoch; number of the last entry; all bytes that were ever taken, 64
-- more for each message. Harmless when it comes twice or late.
local epoch, taken = ARGV[7], tonumber(ARGV[9])
local out = tonumber(call('HGET', node(epoch), 'out'))
if not out or taken <= out then return 0 end
-- A key that is no stream any more is given up as by `append`: cleared away, it would be read as an inbox without news.
local trimmed = redis.pcall('XTRIM', inbox(epoch), 'MINID', '0-'..string.format('%.0f', ARGV[8] + 1))
if type(trimmed) == 'table' then return cut(epoch) end
call('HINCRBY', node(epoch), 'room', string.format('%.0f', taken - out))
return call('HSET', node(epoch), 'out', ARGV[9])
