-- Takes out what a dead epoch holds, in any order. ARGV from 7: epoch; how much at a time. Answers how much is left; when
-- nothing is, the epoch is forgotten.
local epoch, count = ARGV[7], tonumber(ARGV[8])
if call('HGET', node(epoch), 'st') ~= 'dead' then return 0 end
for _, text in ipairs(call('SRANDMEMBER', held(epoch), count)) do
  local topic, user = named(text)
  leave(topic, user, epoch)
  call('SREM', held(epoch), text)
end
local left = call('SCARD', held(epoch))
if left == 0 then
  call('SREM', p..':nodes', epoch)
  redis.call('DEL', node(epoch), inbox(epoch), held(epoch), connections(epoch))
end
tell_nodes()
return left
