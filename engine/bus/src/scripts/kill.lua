-- An epoch is dead if it has given no sign of life since. ARGV from 7: epoch; the beat that was seen of it. Answers 1 or 0.
local epoch, state = ARGV[7], call('HMGET', node(ARGV[7]), 'beat', 'st')
if (state[1] or '0') ~= ARGV[8] or state[2] == 'dead' then return 0 end
call('HSET', node(epoch), 'st', 'dead', 'room', NO_ROOM)
return 1
