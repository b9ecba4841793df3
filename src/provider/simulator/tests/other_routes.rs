//! `/models` and `/embeddings`.

use super::*;

#[tokio::test(start_paused = true)]
async fn models_are_listed_and_found_by_name() {
    let list = call(Method::GET, "/models?limit=2", json!(null)).await.json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(MODELS.len() + 1));
    let one = call(Method::GET, "/models/sim-cut", json!(null)).await;
    assert_eq!(one.json()["id"], "sim-cut");
    let none = call(Method::GET, "/models/gpt-9", json!(null)).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(call(Method::GET, "/batches", json!(null)).await.status, StatusCode::NOT_FOUND);
    let wrong = call(Method::GET, "/chat/completions", json!(null)).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_unit_vectors_of_the_text() {
    let body = json!({ "model": EMBEDDING_MODEL, "input": ["tide", "log", "tide"] });
    let answer = call(Method::POST, "/embeddings", body).await.json();
    let vector = |index: usize| -> Vec<f32> {
        let values = answer["data"][index]["embedding"].as_array().expect("a vector");
        values.iter().filter_map(Value::as_f64).map(|x| x as f32).collect()
    };
    assert_eq!(vector(0).len(), 8);
    assert_eq!(vector(0), vector(2));
    assert_ne!(vector(0), vector(1));
    let length: f32 = vector(0).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);

    let body = json!({ "model": EMBEDDING_MODEL, "input": "tide", "encoding_format": "base64" });
    let answer = call(Method::POST, "/embeddings", body).await.json();
    let text = answer["data"][0]["embedding"].as_str().expect("base64");
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    let floats = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")));
    assert_eq!(floats.collect::<Vec<_>>(), vector(0));

    for (body, status) in [
        (json!({ "model": "other", "input": "x" }), 404),
        (json!({ "model": EMBEDDING_MODEL }), 400),
        (json!({ "model": EMBEDDING_MODEL, "input": "" }), 400),
        (json!({ "model": EMBEDDING_MODEL, "input": "x", "dimensions": 0 }), 400),
    ] {
        assert_eq!(call(Method::POST, "/embeddings", body).await.status.as_u16(), status);
    }
}
