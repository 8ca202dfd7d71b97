-- A node stops in order: its epoch is dead. ARGV from 7: epoch. Answers 1 if it was not before.
local epoch = ARGV[7]
if call('HGET', node(epoch), 'st') ~= 'live' then return 0 end
call('HSET', node(epoch), 'st', 'dead', 'room', NO_ROOM)
redis.call('DEL', inbox(epoch), connections(epoch))
return 1
