-- Cases that hold in nginx and in plain Lua alike. Each takes the socket, and fails by an error.

local exec = require 'resty.exec'
local exec_socket = require 'resty.exec.socket'

local cases = {}

local function equal(found, expected, what)
  if found ~= expected then
    local text = string.format('%s is %q, not %q', what, tostring(found), tostring(expected))
    error(text, 2)
  end
end

-- Whether the end is seen together with the status is chance with LuaSocket, which waits for nothing,
-- and in nginx where the server has no processor for a millisecond. What is then taken for a timeout
-- is no error here.
local function new(path)
  local prog = exec.new(path)
  prog.timeout_fatal = false
  return prog
end

function cases.e69(path)
  for _ = 1, 300 do
    local res, err = new(path)('uname')
    equal(err, nil, 'err')
    equal(res.stdout, 'Linux\n', 'stdout')
    equal(res.exitcode, 0, 'exitcode')
  end
end

function cases.e70(path)
  for _ = 1, 100 do
    local res, err = new(path)('head', '-c', 300000, '/dev/zero')
    equal(err, nil, 'err')
    equal(res.stdout, ('\0'):rep(300000), 'stdout')
    equal(res.exitcode, 0, 'exitcode')
  end
end

function cases.e71(path)
  local res, err = new(path)('nosuch')
  equal(err, nil, 'err')
  equal(res.exitcode, 127, 'exitcode')
  equal(res.stderr:find('nosuch', 1, true), 1, 'the place of the name in stderr')
end

function cases.e72(path)
  local res, err = new(path)('sh', '-c', 'kill -TERM $$')
  equal(err, nil, 'err')
  equal(res.termsig, 15, 'termsig')
  equal(res.exitcode, nil, 'exitcode')
end

function cases.e73(path)
  local prog = new(path)
  prog.stdin = ('x'):rep(2000000)
  local res, err = prog('cat')
  equal(err, nil, 'err')
  equal(#res.stdout, 2000000, 'the length of stdout')
  prog.stdin = ('x'):rep(3000000)
  res, err = prog('sh', '-c', 'cat >/dev/null; echo done')
  equal(err, nil, 'err')
  equal(res.stdout, 'done\n', 'stdout')
end

function cases.e74(path)
  local res, err = exec.new(path) { argv = { 'sleep', '2' }, timeout = 500, timeout_fatal = false }
  equal(err, nil, 'err')
  equal(res.exitcode, 0, 'exitcode')
end

-- And where it is fatal, the call is over.
function cases.timeout(path)
  local res, err = exec.new(path) { argv = { 'sleep', '2' }, timeout = 100 }
  equal(res, nil, 'the result')
  equal(err, 'timeout', 'err')
end

function cases.e75(path, slow_print)
  local said = {}
  local prog = new(path)
  prog.stdout = function(data) said[#said + 1] = data end
  local res, err = prog(slow_print)
  equal(err, nil, 'err')
  equal(#said, 11, 'the number of calls')
  equal(said[11], 'line 10\n', 'the last line')
  equal(res.stdout, '', 'stdout')
  equal(res.exitcode, 0, 'exitcode')
end

function cases.callbacks(path)
  local said, wrong = {}, {}
  local res, err = new(path) {
    argv = { 'sh', '-c', 'cat; echo oops >&2' },
    stdin = 'fun!',
    stdout = function(data) said[#said + 1] = data end,
    stderr = function(data) wrong[#wrong + 1] = data end,
  }
  equal(err, nil, 'err')
  equal(table.concat(said), 'fun!', 'stdout')
  equal(table.concat(wrong), 'oops\n', 'stderr')
  equal(res.stdout .. res.stderr .. res.unknown, '', 'what no callback took')
end

-- Both ways at once: the program answers while its stdin is open.
function cases.two_ways(path)
  local client = exec_socket:new { timeout = 30000 }
  assert(client:connect(path))
  assert(client:send_args { 'cat' })
  for _, text in ipairs { 'hello there', 'still running' } do
    assert(client:send(text))
    local data, tag = client:receive()
    equal(tag, 'stdout', 'the tag')
    equal(data, text, 'the data')
  end
  assert(client:send_close())
  local data, tag = client:receive()
  equal(tag, 'exitcode', 'the tag')
  equal(data, '0', 'the data')
  local err
  repeat
    data, tag, err = client:receive()
    equal(data, nil, 'data after the status')
  until err ~= 'timeout'
  equal(err, 'closed', 'err')
end

-- What goes wrong before a program runs.
function cases.misuse(path)
  local res, err = exec.new()
  equal(res, nil, 'a program without an address')
  equal(err, 'must supply an address', 'err')
  res, err = exec.new(path)()
  equal(err, 'no arguments supplied', 'err')
  res, err = exec.new(path) { argv = 'cat', stdout = 'a text' }
  equal(err, "invalid argument 'stdout' (requires function)", 'err')
  local client = exec_socket:new()
  res, err = client:send('x')
  equal(err, 'user_error: not setup', 'err')
  assert(client:connect(path))
  res, err = client:send('x')
  equal(err, 'user_error: must send args first', 'err')
  res, err = client:send_args('cat')
  equal(err, 'user_error: args must be array-like table', 'err')
  assert(client:send_args { 'cat' })
  res, err = client:send_args { 'cat' }
  equal(err, 'user_error: args already sent', 'err')
  client:close()
  res, err = client:send('x')
  equal(err, 'user_error: connection closed', 'err')
  res, err = exec.new(path .. '.none')('uname')
  equal(res, nil, 'a result of nobody')
end

return cases
