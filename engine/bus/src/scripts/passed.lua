-- The levels that were passed on, in slices. ARGV from 7: cursor; how many about. Answers the next cursor, 0 at the end, and
-- names.
local scanned = redis.call('SSCAN', p..':passed', ARGV[7], 'COUNT', ARGV[8])
local answer = {scanned[1]}
for _, text in ipairs(scanned[2]) do answer[#answer + 1] = text end
return answer
