package com.amazonaws.services.lambda.runtime.events;

import java.util.Date;
import java.util.List;

/** In the ways of the beans in this package of AWS's, which say nothing of their JSON's names. */
public class SampleEvent {
    private List<Record> records;
    private String detailType;

    public List<Record> getRecords() { return records; }

    public void setRecords(List<Record> records) { this.records = records; }

    public String getDetailType() { return detailType; }

    public void setDetailType(String detailType) { this.detailType = detailType; }

    public static class Record {
        private String eventSourceArn;
        private String body;
        private Date sentTimestamp;

        public String getEventSourceArn() { return eventSourceArn; }

        public void setEventSourceArn(String arn) { this.eventSourceArn = arn; }

        public String getBody() { return body; }

        public void setBody(String body) { this.body = body; }

        public Date getSentTimestamp() { return sentTimestamp; }

        public void setSentTimestamp(Date sentTimestamp) { this.sentTimestamp = sentTimestamp; }
    }
}
