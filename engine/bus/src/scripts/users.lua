-- A slice of the users of a topic. ARGV from 2: topic; cursor, 0 at first; how many at a time. Answers the next cursor, 0 at
-- the end, and the users. One may come twice.
local found = read({'0', {}}, 'HSCAN', p..':f:'..ARGV[2], ARGV[3], 'COUNT', ARGV[4])
local answer = {found[1]}
for i = 1, #found[2], 2 do answer[#answer + 1] = found[2][i] end
return answer
