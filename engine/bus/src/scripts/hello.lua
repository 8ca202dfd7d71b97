-- Resumes a session over a new connection. ARGV from 7: epoch, the identity with which it began. Answers the number of the
-- last command that was carried out, or GONE.
local epoch = ARGV[7]
if not may_act(epoch) or identity() ~= ARGV[8] then return 'GONE' end
return tonumber(call('HGET', node(epoch), 'done'))
