//! Bodies of `multipart/form-data` (RFC 7578): what a page sends with `FormData`, and PHP's curl with an array.

/// The fields by name, if this content type says where one ends and the next begins. What is no field is passed over.
pub(super) fn multipart_fields(content_type: &str, body: &str) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty())?;
    // The first boundary may have no line before it.
    let body = format!("\r\n{body}");
    let delimiter = format!("\r\n--{boundary}");
    let parts = body.split(&*delimiter).skip(1);
    Some(parts.take_while(|part| !part.starts_with("--")).filter_map(field).collect())
}

fn field(part: &str) -> Option<(String, String)> {
    let (lines, value) = part.split_once("\r\n\r\n")?;
    let mut headers = lines.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) = headers.find(|(name, _)| name.eq_ignore_ascii_case("Content-Disposition"))?;
    Some((parameter(disposition, "name")?.to_owned(), value.to_owned()))
}

// Of a header like `form-data; name="a"`. No name that is looked for has a quote or a semicolon.
fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let parameters = header.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.into_iter().find(|(its, _)| its.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(content_type: &str, body: &str) -> Vec<(String, String)> {
        multipart_fields(content_type, body).unwrap_or_default()
    }

    #[test]
    fn fields_stand_between_boundaries_as_browsers_and_curl_write_them() {
        let of_a_browser = "------WebKitFormBoundaryAb\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n\
            ------WebKitFormBoundaryAb\r\nContent-Disposition: form-data; name=\"b\"; filename=\"x.txt\"\r\n\
            Content-Type: text/plain\r\n\r\n{\"n\": \"é--\"}\r\n------WebKitFormBoundaryAb--\r\n";
        let expected =
            [("a", "1\r\n2"), ("b", "{\"n\": \"é--\"}")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(fields("multipart/form-data; boundary=----WebKitFormBoundaryAb", of_a_browser), expected);
        let padded = "preamble\r\n--x  \r\ncontent-disposition:form-data;name=a\r\n\r\n\r\n--x--\r\nepilogue";
        let empty = [("a".to_owned(), String::new())];
        assert_eq!(fields("Multipart/Form-Data; charset=utf-8; Boundary=\"x\"", padded), empty);
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        for body in
            ["", "--x", "--x--", "--x\r\n\r\nvalue\r\n--x--", "--x\r\nName: a\r\n\r\n1\r\n--x--", "a=1"]
        {
            assert_eq!(fields("multipart/form-data; boundary=x", body), [], "{body}");
        }
        for content_type in ["multipart/form-data", "multipart/form-data; boundary=", ""] {
            assert_eq!(multipart_fields(content_type, "--\r\n"), None, "{content_type}");
        }
    }
}
