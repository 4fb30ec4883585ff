-- Before anything is checked.
function SetHeader(request, session, spec)
  tyk.req.set_header('Testheader', 'testvalue')
  return request, session
end

-- Who is let in: a session with a token is one that may pass.
function Token(request, session, metadata, spec)
  if request.headers.Authorization == 'good' then
    session.rate, session.per = 100, 1
    metadata.token = 'good'
  end
  return request, session, metadata
end
