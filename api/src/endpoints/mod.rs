//! The endpoints, a file each: what a request asks for, and how it is answered.
//!
//! | Request | Call | Body of the answer |
//! |---|---|---|
//! | `POST /apps/ID/events` | publish one event to 1..100 channels | `{}`, with `info` `{"channels":{"NAME":{..}}}` |
//! | `POST /apps/ID/channels/NAME/events` | publish one event, as before 2012 | `{}`, with 202 |
//! | `POST /apps/ID/batch_events` | publish 1..10 events | `{}`, with `info` `{"batch":[{..},{}]}` |
//! | `GET /apps/ID/channels` | occupied channels | `{"channels":{"NAME":{..}}}` |
//! | `GET /apps/ID/channels/NAME` | one channel | `{"occupied":true,..}` |
//! | `GET /apps/ID/channels/NAME/stats` | one channel, as before 2012 | `{"occupied":true,..}` |
//! | `GET /apps/ID/channels/NAME/users` | members of a presence channel | `{"users":[{"id":"1"}]}` |
//! | `GET /apps/ID/connections` | open WebSocket connections of the app | `{"connections":3}` |
//! | `POST /apps/ID/users/USER_ID/terminate_connections` | close the connections of a user | `{}` |
//! | `GET /live`, `GET /ready` | health | `{"live":true}`, `{"ready":true}`; 503 when false |
//! | `GET /health`, `GET /up/APP` | health | `{"health":"OK"}`, and the word in `X-Health-Check`; 503 for `DRAINING` and `ERROR` |
//! | `GET /up`, `GET /accept-traffic` | health | `{"health":"OK"}`, `{"accept_traffic":true}`; 503 when not |
//! | `GET /` | is a server there? | `OK`, or the page of `corecast dev` |
//! | `OPTIONS` of any of them, and of `*` | which methods are allowed? | none, and `Allow` |

pub mod channel_events;
pub mod channels;
pub mod connections;
pub mod events;
pub mod health;
pub mod stats;
pub mod terminate;
pub mod users;
