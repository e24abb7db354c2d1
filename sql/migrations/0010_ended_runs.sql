-- A run that was killed does not stay running for ever.

comment on table runs is 'Every run of a flow: when, as of which moment, and how it ended. One that was killed failed, as soon as the next of its flow begins.';
comment on column runs.status is 'running, done or failed; a run that was killed is running until the next of its flow begins.';
